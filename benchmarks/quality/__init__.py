"""How good a drawn face is, measured from its pictures: `visavis eval`."""
