"""The overview of a slide: its coordinates and its caption."""

from collections.abc import Sequence
from dataclasses import dataclass

from inkdot.records import MaskArray, RgbArray
from inkdot.review.gallery.fields import scale_bar
from inkdot.review.results.scored_slide import ScoreFacts, SlideFrame
from inkdot.review.slide_images.caption import Caption, Sample
from inkdot.review.wording import score_text
from inkdot.storage.tables.predictions import Prediction


@dataclass(frozen=True, slots=True)
class SlideView:
    """The overview of a slide.

    Attributes:
        image: Its scanned part, uint8 RGB [height, width, 3].
        not_assessed: Foreground that is not assessed: out of focus, an artefact, or in no tile; bool [height, width].
        frame: Size and scale of the slide.
    """

    image: RgbArray
    not_assessed: MaskArray
    frame: SlideFrame

    @property
    def scale(self) -> tuple[float, float]:
        """Image pixels per level-0 pixel along x and y."""
        bounds = self.frame.bounds_l0_px
        height, width = self.image.shape[:2]
        return width / bounds.width_l0_px, height / bounds.height_l0_px

    def at(self, x_l0_px: float, y_l0_px: float) -> tuple[float, float]:
        """Where a point of level 0 lies in the image, x and y in pixels."""
        bounds, (scale_x, scale_y) = self.frame.bounds_l0_px, self.scale
        return (x_l0_px - bounds.x_l0_px) * scale_x, (y_l0_px - bounds.y_l0_px) * scale_y

    def caption(
        self, facts: ScoreFacts, prediction: Prediction, what: str, samples: Sequence[Sample]
    ) -> Caption:
        """The caption of an image of this slide.

        Args:
            facts: Facts about its scores.
            prediction: Its row of ``predictions.csv``.
            what: Content of the image.
            samples: The legend.
        """
        score = f", score {score_text(float(prediction.score))}" if prediction.score else ""
        reasons = [prediction.reason] if prediction.reason else []
        return Caption(
            title=f"{self.frame.slide_id}: {prediction.call}{score} · {what}",
            synthetic=facts.synthetic_model or self.frame.synthetic,
            bar=scale_bar(self.frame.bounds_l0_px.width_l0_px * self.frame.mpp.x),
            samples=samples,
            warnings=[*reasons, *facts.warnings],
        )
