"""What is trained: the protocol between gpbt and a model, and an implementation for each framework.

Start with `trainable`, the protocol; `testing` is its conformance kit. `bindings` describes how a hyperparameter is
written into a live model and read back, and `random_states` keeps each model's randomness apart. Each framework has
a folder, which nothing outside that folder imports; those whose models are PyTorch's build on `pytorch`. May import
`storing`.
"""
