import matplotlib as mpl
from defusedxml import ElementTree

from inkdot import plotting

UNTRUSTED = "<script>alert(1)</script> & $x_1$ ]]> -->"


def drawn(label: str) -> str:
    with plotting.style():
        figure, (axes,) = plotting.subplots()
        axes.plot([0, 1], [0, 1], label=label)
        axes.set_xlabel(label)
        axes.legend()
        return plotting.svg(figure)


def test_the_same_numbers_give_the_same_bytes_whatever_the_users_own_style():
    first = drawn("AUC")
    with mpl.rc_context({"lines.linewidth": 9.0, "svg.fonttype": "path", "font.size": 30}):
        assert drawn("AUC") == first


def test_untrusted_text_is_shown_as_it_is_and_adds_no_element():
    plain, untrusted = ElementTree.fromstring(drawn("AUC")), ElementTree.fromstring(drawn(UNTRUSTED))
    texts = [element.text for element in untrusted.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count(UNTRUSTED) == 2
    assert {element.tag for element in untrusted.iter()} == {element.tag for element in plain.iter()}


def test_a_plot_names_no_date_no_program_and_loads_nothing():
    text = drawn("AUC")
    assert text.startswith("<svg")
    assert "dc:date" not in text
    assert "Matplotlib" not in text
    assert "DOCTYPE" not in text
    assert "@import" not in text
    assert "url(http" not in text
