"""From plan to scene, whatever the kind of specimen."""

from inkdot.synthetic.cohort import SlidePlan
from inkdot.synthetic.patients import Patient
from inkdot.synthetic.scene import Scene
from inkdot.synthetic.section import lay_section
from inkdot.synthetic.spot import lay_spot
from inkdot.synthetic.stains import Stain


def lay_scene(plan: SlidePlan, patient: Patient, stain: Stain) -> Scene:
    """Everything on one slide, from the plan alone."""
    return lay_section(plan, patient, stain) if plan.is_section else lay_spot(plan, patient, stain)
