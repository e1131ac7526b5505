package recording

import "context"

// Seal seals now, as Run does by the clock.
func (r *Recorder) Seal(ctx context.Context) { r.seal(ctx) }
