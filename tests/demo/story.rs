//! A story in numbered steps, with pictures.

use crate::support::Desktop;
use crate::support::desktop::{Entry, Tray};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// As told so far.
pub struct Story {
    folder: PathBuf,
    begun: Instant,
    step: Instant,
    steps: usize,
    pictures: Vec<String>,
}

impl Story {
    /// A new one, whose pictures go into this folder of the repository. Those of an earlier one go.
    pub fn begin(folder: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        for entry in std::fs::read_dir(&folder).expect("the folder").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "png") {
                std::fs::remove_file(entry.path()).expect("an old picture");
            }
        }
        println!("Larder, from sign-in to sign-out\n");
        Self { folder, begun: Instant::now(), step: Instant::now(), steps: 0, pictures: Vec::new() }
    }

    /// What is done now.
    pub fn step(&mut self, what: &str) {
        self.steps += 1;
        self.step = Instant::now();
        println!("{:>2}. {what}  (at {:.1} s)", self.steps, self.begun.elapsed().as_secs_f64());
    }

    /// What was seen of it.
    pub fn saw(&self, what: &str) {
        println!("    {what}");
    }

    /// How long this step has taken so far.
    pub fn seconds(&self) -> String {
        format!("{:.1} s", self.step.elapsed().as_secs_f64())
    }

    /// Takes a picture of the window.
    pub fn picture(&mut self, desktop: &Desktop, name: &str) {
        desktop.window_picture(&self.file(name));
    }

    /// Draws the tray: there is none to photograph, so its real icon and its real menu, as read over D-Bus, are drawn.
    pub fn tray(&mut self, desktop: &Desktop, name: &str, tray: &Tray) {
        let icon = tray.icon.as_deref().expect("an icon");
        let lines: Vec<String> = tray.entries.iter().map(|entry| entry.label.clone()).collect();
        self.saw(&format!("tray: {icon}; {}", lines.join(" / ")));
        draw(desktop, &self.file(name), icon, &tray.entries);
    }

    fn file(&mut self, name: &str) -> PathBuf {
        self.pictures.push(name.to_owned());
        self.folder.join(format!("{name}.png"))
    }

    /// The last words.
    pub fn end(self) {
        println!(
            "\n{} steps in {:.0} s; {} pictures in {}: {}",
            self.steps,
            self.begun.elapsed().as_secs_f64(),
            self.pictures.len(),
            self.folder.display(),
            self.pictures.join(", ")
        );
    }
}

const WIDTH: usize = 400;
const PANEL: usize = 34;
const LINE: usize = 26;

fn draw(desktop: &Desktop, file: &Path, icon: &str, entries: &[Entry]) {
    let icon = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("icons/tray-{icon}.png"));
    let height = PANEL + entries.len() * LINE + 28;
    let mut arguments: Vec<String> = [
        "-size",
        &format!("{WIDTH}x{height}"),
        "xc:#d9d6d0",
        "-fill",
        "#e9e9ec",
        "-draw",
        &format!("rectangle 0,0 {WIDTH},{}", PANEL - 1),
        "(",
        &icon.display().to_string(),
        "-resize",
        "22x22",
        ")",
        "-gravity",
        "NorthWest",
        "-geometry",
        &format!("+{}+6", WIDTH - 40),
        "-composite",
        "-fill",
        "#ffffff",
        "-stroke",
        "#c4bfb4",
        "-draw",
        &format!("roundrectangle 10,{},{},{} 8,8", PANEL + 8, WIDTH - 11, height - 10),
        "-stroke",
        "none",
        "-font",
        "DejaVu-Sans",
        "-pointsize",
        "13",
    ]
    .map(str::to_owned)
    .into();
    for (index, entry) in entries.iter().enumerate() {
        let colour = if entry.enabled { "#211f1b" } else { "#a5a199" };
        let under: Vec<&str> = entry.entries.iter().map(|entry| entry.label.as_str()).collect();
        let label =
            if under.is_empty() { entry.label.clone() } else { format!("{}  ▸  {}", entry.label, under.join(", ")) };
        // ImageMagick reads % and \ as orders.
        let label = label.replace('\\', "\\\\").replace('%', "%%");
        let place = format!("+24+{}", PANEL + 8 + 10 + index * LINE);
        arguments.extend(["-fill", colour, "-annotate", &place, &label].map(str::to_owned));
    }
    arguments.push(file.display().to_string());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    desktop.session.ran("convert", &arguments);
}
