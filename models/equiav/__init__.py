"""EquiAV: a training objective for encoders of sound and picture, and a monitor of synchrony. It draws nothing."""
