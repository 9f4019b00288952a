//! Emberline.
