"""EquiAV: a training objective for encoders of sound and picture, and a monitor of their synchrony. It draws nothing."""
