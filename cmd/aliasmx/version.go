package main

import (
	"fmt"
	"runtime/debug"
)

// version is what the log, the status and the HELP of this build say.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unreleased"
	}
	return info.Main.Version
}

func versionCommand(_ []string, env environ) int {
	fmt.Fprintf(env.stdout, "aliasmx %s\n", version())
	return exitOK
}
