//! All C++ against LibTorch: what tch lacks. No policy.
