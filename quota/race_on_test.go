//go:build race

package quota

// raceEnabled says that the race detector is on, which makes everything slower and larger.
const raceEnabled = true
