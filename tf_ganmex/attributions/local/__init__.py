"""Score deltas of images that differ from others in a small window, evaluated only where they differ.

A changed pixel changes a small window of what the first layers return. Outside of it the difference to the unchanged
image is zero, so that nothing has to be computed, at the borders of the image as little as inside.
"""

from tf_ganmex.attributions.local.changes import LocalChanges, local_changes
from tf_ganmex.attributions.local.flips import local_flips

__all__ = ["LocalChanges", "local_changes", "local_flips"]
