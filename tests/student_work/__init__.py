"""Networks and notebooks in the styles in which students write them, and what each gets."""
