def pi_clip(c): yield from ()
def clip_dinoiser(c): yield from ()
