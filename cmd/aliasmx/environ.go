package main

import "io"

// environ is what a command sees of the process it runs in, so that tests can run
// one without a process of its own.
type environ struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	environ        func() []string
}
