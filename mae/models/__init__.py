"""Encoder, decoder, and the two models made of them. `keras.ops` only: any Keras backend."""
