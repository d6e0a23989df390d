package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/net/idna"

	"aliasmx/internal/bounce"
	"aliasmx/internal/postconf"
)

// The templates of reports: bounce_template_file, and postconf(1) -b and -t.

// bounceTemplates are the templates that a configuration names, with each $name in them
// replaced. What makes bounce(8) warn goes to warn; what ends it, and so keeps every
// report from being written, is an error.
func bounceTemplates(cfg *postconf.Config, warn func(string)) (*bounce.Templates, error) {
	ts, err := readTemplates(cfg, warn)
	if err == nil {
		ts, err = expandTemplates(cfg, ts, warn)
	}
	if err != nil {
		return nil, fmt.Errorf("bounce_template_file (%s): %w", cfg.Where("bounce_template_file"), err)
	}
	return &ts, nil
}

func readTemplates(cfg *postconf.Config, warn func(string)) (ts bounce.Templates, err error) {
	ts = bounce.BuiltIn()
	if path := cfg.Get("bounce_template_file"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return ts, err
		}
		if ts, err = bounce.ParseTemplates(path, string(text), warn); err != nil {
			return ts, err
		}
	}
	if cfg.Get("header_from_format") == "obsolete" {
		ts = ts.WithObsoleteFrom()
	}
	return ts, nil
}

func expandTemplates(cfg *postconf.Config, ts bounce.Templates, warn func(string)) (bounce.Templates, error) {
	v := bounce.Values{
		DelayWarning: cfg.Duration("delay_warning_time"), QueueLifetime: cfg.Duration("maximal_queue_lifetime"),
		Expand: cfg.ExpandText, Names: make(map[string]string),
	}
	for _, name := range []string{"myhostname", "mydomain"} {
		v.Names[name] = cfg.Get(name)
		if !cfg.Bool("smtputf8_enable") || !strings.Contains(strings.ToLower(v.Names[name]), "xn--") {
			continue
		}
		unicode, err := idna.Lookup.ToUnicode(v.Names[name])
		if err != nil {
			warn(fmt.Sprintf("conversion %q failed: input value: %q", name, v.Names[name]))
			continue
		}
		v.Names[name] = unicode
	}
	return ts.Expand(v, warn)
}

// postconfTemplates shows templates: their text with -b, as they would stand in a file
// with -t. A file on the command line comes before the one of main.cf.
func postconfTemplates(o postconfOptions, env environ, out io.Writer, warn func(string)) error {
	cfg, err := postconf.Read(postconf.LoadOptions{Dir: o.dir, Environ: env.environ()})
	if err != nil {
		return err
	}
	if len(o.names) > 0 {
		cfg = cfg.With(map[string]string{"bounce_template_file": o.names[0]}, "command line")
	}
	if o.has('t') {
		ts, err := readTemplates(cfg, warn)
		if err != nil {
			return err
		}
		return ts.Dump(out)
	}
	ts, err := readTemplates(cfg, warn)
	if err != nil {
		return err
	}
	if ts, err = expandTemplates(cfg, ts, warn); err != nil {
		return err
	}
	return ts.DumpText(out)
}
