"""TAVCE: coefficients from sound, a 3-D warp and a SPADE decoder, gated by how sound changes (IEEE TMM 2025)."""
