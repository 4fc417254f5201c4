"""PC-AVS: identity from one photo, mouth from the voice, head pose from a code of twelve numbers."""
