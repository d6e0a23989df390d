package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// demo is the relay on loopback beside an embedded next hop, with a few letters sent
// through it: what a visitor sees before reading anything.
type demo struct {
	out   io.Writer
	smtp  string // where the relay listens
	hop   *demoHop
	log   *demoLog
	color bool
}

const demoTable = `# virtual: what stands here is accepted, everything else is refused
info@alias.example     target@dest.example
team@alias.example     ann@dest.example, bob@other.example
gone@alias.example     nobody@dest.example
`

func demoCommand(args []string, env environ) int {
	var flags struct {
		Exit bool `help:"End after the letters instead of staying up."`
	}
	if done, status := parseFlags("demo", "The relay on loopback with an embedded next hop, to look at.", &flags, args, env); done {
		return status
	}
	top, err := os.MkdirTemp("", "aliasmx-demo")
	if err != nil {
		return fail(env, "demo", exitFailure, err)
	}
	defer os.RemoveAll(top)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runDemo(ctx, top, flags.Exit, env); err != nil {
		return fail(env, "demo", exitFailure, err)
	}
	return exitOK
}

func runDemo(ctx context.Context, top string, exit bool, env environ) error {
	hop, err := newDemoHop()
	if err != nil {
		return err
	}
	defer hop.close()
	d := &demo{out: env.stdout, hop: hop, log: newDemoLog(), color: isTerminal(env.stdout)}
	if err := d.configure(top); err != nil {
		return err
	}
	// The demo has its own configuration: what the environment says is for the real one.
	plain := env
	plain.environ = func() []string { return nil }
	cfg, err := loadConfig(top, plain)
	if err != nil {
		return err
	}
	daemon, err := startDaemon(daemonOptions{cfg: cfg, env: plain, logTo: d.log})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	stopDaemon, cancel := context.WithCancel(context.Background())
	go func() { ended <- daemon.run(stopDaemon) }()
	defer func() { cancel(); <-ended }()

	d.intro(top)
	for _, s := range demoScenes {
		if err := d.play(ctx, s); err != nil {
			return err
		}
	}
	d.outro()
	if exit {
		return nil
	}
	select {
	case <-ctx.Done():
	case err := <-ended:
		ended <- nil
		return err
	}
	fmt.Fprintln(d.out)
	return nil
}

func (d *demo) configure(top string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.smtp = l.Addr().String()
	l.Close()
	_, hopPort, _ := net.SplitHostPort(d.hop.addr)
	for name, text := range map[string]string{
		"virtual":   demoTable,
		"master.cf": d.smtp + " inet n - n - - smtpd\n",
		"main.cf": strings.Join([]string{
			"myhostname = mx.alias.example",
			"mydestination =",
			"mynetworks = 127.0.0.9/32",
			"smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",
			"smtpd_peername_lookup = no",
			"virtual_alias_domains = alias.example",
			"virtual_alias_maps = texthash:" + filepath.Join(top, "virtual"),
			"relayhost = [127.0.0.1]:" + hopPort,
			"smtp_dns_support_level = disabled",
			"queue_directory = " + filepath.Join(top, "queue"),
			"data_directory = " + filepath.Join(top, "data"),
		}, "\n") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) intro(top string) {
	d.title("aliasmx demo")
	fmt.Fprintf(d.out, "The relay listens on %s, the next hop on %s; configuration and queue are in %s.\n\n", d.smtp, d.hop.addr, top)
	for line := range strings.Lines(demoTable) {
		fmt.Fprint(d.out, "    ", line)
	}
}

func (d *demo) outro() {
	d.title("now you")
	fmt.Fprintf(d.out, "    swaks --server %s --from you@client.example --to info@alias.example\n", d.smtp)
	fmt.Fprintf(d.out, "    swaks --server %s --from you@client.example --to nobody@alias.example\n\n", d.smtp)
	d.log.follow(d.out)
}

func (d *demo) title(text string) {
	line := fmt.Sprintf("\n── %s %s\n", text, strings.Repeat("─", max(3, 90-len(text))))
	if d.color {
		line = "\x1b[1m" + line + "\x1b[0m"
	}
	fmt.Fprint(d.out, line)
}

// isTerminal tells whether colours make sense.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// demoPatience is how long a scene waits for its last log line.
const demoPatience = 8 * time.Second
