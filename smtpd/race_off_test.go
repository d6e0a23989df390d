//go:build !race

package smtpd

// raceDetector tells whether the race detector watches.
const raceDetector = false
