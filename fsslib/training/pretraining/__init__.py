"""Trainings without episodes: backbones, CLIPs, DINO, MoCo, and the heads of CLIP-DINOiser."""
