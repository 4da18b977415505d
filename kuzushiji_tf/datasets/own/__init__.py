"""The user's own images, named by a path: class folders of pictures, folders of arrays, and `.npz` files."""
