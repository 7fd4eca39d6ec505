"""Where no cluster is, the command says so at once."""

import socket
import time

import pytest

from inkdot.errors import UserError
from inkdot.execution.ray_pool import RayPool
from inkdot.execution.ray_settings import RaySettings

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_port_where_nobody_listens_is_named_at_once(form: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # so that nobody else takes it meanwhile; it does not listen
        address = form.format(taken.getsockname()[1])
        start = time.monotonic()
        with pytest.raises(UserError, match=f"expected a Ray cluster at '{address}', found none"):
            RayPool(RaySettings(address), 0.0, None)
        assert time.monotonic() - start < 15
