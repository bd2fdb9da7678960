//! kybern up, status, down, delete, image.
