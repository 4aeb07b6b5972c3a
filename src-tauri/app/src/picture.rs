//! The picture (QR code, ISO/IEC 18004) of a device authorization's address: a phone reads it, and nobody types.

use crate::link::Link;
use larder_core::names::AttemptId;
use larder_core::problem::Problem;
use qrcode::{Color, QrCode};
use serde::Serialize;

/// A square of modules.
#[derive(Debug, Serialize)]
pub struct Picture {
    /// Modules a side, without the quiet zone.
    size: usize,
    /// The dark ones, as the path of an SVG whose unit is a module.
    path: String,
}

/// The picture for a sign-in that waits for its code to be entered.
pub fn of(link: &Link, attempt: &AttemptId) -> Result<Picture, Problem> {
    let found = link.house()?.attempts.into_iter().find(|known| known.id == *attempt);
    let device = found.and_then(|found| found.device).ok_or(Problem::AttemptCancelled)?;
    draw(device.link())
}

fn draw(text: &str) -> Result<Picture, Problem> {
    let code = QrCode::new(text).map_err(|_| Problem::BadRequest { detail: "the address is too long".to_owned() })?;
    let size = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let path = dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % size, at / size)).collect();
    Ok(Picture { size, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_a_square_with_its_three_corners() {
        let picture = draw("https://id.example/device?user_code=WDJB-MJHT").unwrap();
        assert!(picture.size >= 21);
        for corner in [(0, 0), (picture.size - 7, 0), (0, picture.size - 7)] {
            assert!(picture.path.contains(&format!("M{} {}h1", corner.0, corner.1)), "{corner:?}");
        }
        assert!(draw(&"x".repeat(8000)).is_err());
    }
}
