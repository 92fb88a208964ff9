//! What each transform says of itself: its arguments, how it draws parameters, how it applies them.

use run_spec::seed::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::image::PixelBuffer;

/// One kind of transform; the implementing type holds its constructor arguments.
pub(super) trait Transform: Default + Serialize + DeserializeOwned {
    /// What one application needs to know.
    type Params: DeserializeOwned;

    /// Refuses arguments that cannot be honoured.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Draws parameters for `image`; only its shape and (`ISONoise`) its spread of lightness are looked at.
    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Self::Params;

    /// Applies drawn or recorded parameters; the result has the shape of `image`.
    fn apply(&self, params: &Self::Params, image: PixelBuffer) -> PixelBuffer;
}
