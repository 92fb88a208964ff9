//! What can be wrong with a recipe, a case or an image.

/// Errors of this crate; each names its subject and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AugmentError {
    /// The pixels do not fill the stated shape.
    #[error("image of {height}x{width} needs {} bytes (three channels, sides of at least 1), got {length}", height * width * 3)]
    Shape {
        /// Rows that the caller stated.
        height: usize,
        /// Columns that the caller stated.
        width: usize,
        /// Bytes that the caller gave.
        length: usize,
    },
    /// A name that no transform has.
    #[error("no transform is called {name:?}; {}", hint(*nearest))]
    UnknownOp {
        /// The name as it was given.
        name: String,
        /// The known name nearest to it, where one is near.
        nearest: Option<&'static str>,
    },
    /// Arguments of a transform that it does not have or cannot take.
    #[error("transform {name}: {reason}; docs/augment-ops.md lists its arguments")]
    Arguments {
        /// The transform whose arguments they are.
        name: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A recorded case that cannot be replayed.
    #[error("case: {reason}; see docs/augment-ops.md for its format")]
    Case {
        /// What is missing or wrong.
        reason: String,
    },
    /// A recipe that cannot make views.
    #[error("augmentation: {reason}")]
    Recipe {
        /// What is wrong, and the remedy.
        reason: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| "docs/augment-ops.md lists them".to_owned(), |near| format!("did you mean {near:?}?"))
}
