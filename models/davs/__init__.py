"""DAVS: a word space that sound and lips share, apart from the person, and a decoder of both (AAAI 2019)."""
