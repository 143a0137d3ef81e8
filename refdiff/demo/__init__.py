"""The demo's two models, and the parameters of the stage that draws its scenes; the drawing is the folder `demo`."""
