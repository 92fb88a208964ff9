//! Views of a patch: crops and pixel transforms, pure.
