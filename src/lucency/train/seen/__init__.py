"""How films are seen in training, a batch at a time, where the network learns: jitter, and acquisition like another's.

The same as `lucency.data.augment` and `lucency.data.reacquire` do film by film, which stay the reference and the judge.
Here all is matrix products and look-ups over a batch: a GPU has nothing to wait for, with the whole set in its memory.
"""
