"""From plan to scene, whatever the kind of specimen."""

from inkdot.synthetic.cells.scene import Scene
from inkdot.synthetic.cohort.cohort_plan import SlidePlan
from inkdot.synthetic.cohort.patients import Patient
from inkdot.synthetic.cytology.spot_layout import lay_spot
from inkdot.synthetic.histology.section import lay_section
from inkdot.synthetic.rendering.stains import Stain


def lay_scene(plan: SlidePlan, patient: Patient, stain: Stain) -> Scene:
    """Everything on one slide, from the plan alone."""
    return lay_section(plan, patient, stain) if plan.is_section else lay_spot(plan, patient, stain)
