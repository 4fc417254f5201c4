"""FC-TFG: a face as latents of StyleGAN2, its motion added to its canonical form."""
