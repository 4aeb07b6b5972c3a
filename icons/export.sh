#!/bin/sh
# Draws every icon anew from its SVG. Needs rsvg-convert, ImageMagick's convert and icnsutils' png2icns.
set -eu
cd "$(dirname "$0")"
draw() { rsvg-convert --width "$3" --height "$3" "$1" --output "$2"; }
draw icon.svg 32x32.png 32
draw icon.svg 128x128.png 128
draw icon.svg 128x128@2x.png 256
draw icon.svg icon.png 512
for state in fresh refreshing attention; do
  draw "tray-$state.svg" "tray-$state.png" 64
done

parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
for size in 16 24 32 48 64 128 256 512; do
  draw icon.svg "$parts/$size.png" "$size"
done
convert "$parts/16.png" "$parts/24.png" "$parts/32.png" "$parts/48.png" "$parts/64.png" "$parts/256.png" icon.ico
png2icns icon.icns "$parts/16.png" "$parts/32.png" "$parts/48.png" "$parts/128.png" "$parts/256.png" "$parts/512.png" >/dev/null
