package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aliasmx/internal/postconf"
)

// cacheFile is the file of a cache, "" for one in memory. It is a file of ours, whatever
// type of table the parameter names: that of Postfix has a suffix (.db) and is left alone.
func cacheFile(cfg *postconf.Config, parameter, value string) (string, error) {
	spec := strings.TrimPrefix(value, "proxy:")
	if spec == "" {
		return "", nil
	}
	kind, path, ok := strings.Cut(spec, ":")
	if !ok {
		kind, path = "btree", spec
	}
	if !slices.Contains([]string{"btree", "hash", "lmdb", "sdbm"}, kind) || !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s (%s): %q is no file that can be written; choose btree:/path, or leave it empty to keep it in memory",
			parameter, cfg.Where(parameter), value)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "", fmt.Errorf("%s (%s): %s is a directory; name a file in it", parameter, cfg.Where(parameter), path)
	}
	return path, nil
}
