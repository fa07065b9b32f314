"""Whether a map can be believed: measured against the lesion, the lungs, the reader itself, and chance.

Nothing here needs PyTorch but `randomise`. A map is float32 (h, w), signed, over the square the network saw; what
speaks for the finding is above zero. Masks are bool (s, s) over the same square.
"""
