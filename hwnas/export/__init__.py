"""Export: layers to ONNX, parts to measure, trained networks, parity, bundles.

Nothing is imported here, because only some of the modules need torch.
"""
