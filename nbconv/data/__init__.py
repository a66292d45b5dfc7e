"""Data on its way into a net: the digits, batches, files of images, and the checks of what a user passes."""
