"""Build the scene of a slide from its plan."""

from inkdot.synthetic.cells.scene import Scene
from inkdot.synthetic.cohort.cohort_plan import SlidePlan
from inkdot.synthetic.cohort.patients import Patient
from inkdot.synthetic.cytology.cytospin import build_cytospin
from inkdot.synthetic.cytology.spot_layout import build_spot
from inkdot.synthetic.histology.section import build_section
from inkdot.synthetic.rendering.stains import Stain


def build_scene(plan: SlidePlan, patient: Patient, stain: Stain) -> Scene:
    """Build the scene of a ThinPrep spot, a cytospin or a section."""
    if plan.is_cytospin:
        return build_cytospin(plan, patient, stain)
    return build_section(plan, patient, stain) if plan.is_section else build_spot(plan, patient, stain)
