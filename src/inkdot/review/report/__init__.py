"""Reports to hand over: one page per slide or patient as tagged PDF, and a contact sheet for talks."""
