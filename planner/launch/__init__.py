"""The launch folder and what runs in it: settings, the reference loader, the reference trainer."""
