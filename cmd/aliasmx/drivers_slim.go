//go:build slim

package main

import "aliasmx/internal/table"

// tableTypes: a slim build has no drivers.
func tableTypes() map[string]table.Opener { return nil }
