package smtpd

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"time"

	"aliasmx/internal/mail"
)

// The highest counts of any client, which the log has every anvil_status_update_time: an
// operator sees from them what limits would not touch anybody.

type peakKind int

const ( // in the order of the log
	peakConnectionRate peakKind = iota
	peakConnectionCount
	peakMessageRate
	peakRecipientRate
	peakNewTLSRate
	peakAuthRate
	numPeaks
)

var peakNames = [numPeaks]string{"connection rate", "connection count", "message rate", "recipient rate", "newtls rate", "auth rate"}

// peaks are the highest counts since they were last logged. The zero value is none.
type peaks struct {
	of     [numPeaks]peak
	cache  int // clients known at a time
	cached time.Time
	timer  *time.Timer // nil: there is nothing to log
	log    *Options    // of the last event
}

type peak struct {
	value int
	key   clientKey
	when  time.Time
}

// peak takes a count of a client. The caller holds c.mu.
func (c *Anvil) peak(o *Options, addr netip.Addr, kind peakKind, n int) {
	if p := &c.peaks.of[kind]; n > p.value {
		*p = peak{n, keyOf(o, addr), o.Now()}
	}
	c.logLater(o)
}

func (c *Anvil) cacheSize(o *Options, n int) {
	if n > c.peaks.cache {
		c.peaks.cache, c.peaks.cached = n, o.Now()
	}
}

// logLater has the peaks logged when it is time. The caller holds c.mu.
func (c *Anvil) logLater(o *Options) {
	c.peaks.log = o
	if c.peaks.timer == nil {
		c.peaks.timer = time.AfterFunc(o.StatusUpdateTime, c.logPeaks)
	}
}

// logPeaks writes the peaks down and forgets them.
func (c *Anvil) logPeaks() {
	c.mu.Lock()
	was := c.peaks
	c.peaks = peaks{}
	c.mu.Unlock()
	if was.log == nil {
		return
	}
	log := was.log.Log.With(slog.String(mail.KeyDaemon, "anvil"))
	for kind, p := range was.of {
		if p.value == 0 {
			continue
		}
		value := strconv.Itoa(p.value)
		if peakKind(kind) != peakConnectionCount {
			value += fmt.Sprintf("/%ds", int(was.log.RateTimeUnit.Seconds()))
		}
		log.Info(fmt.Sprintf("statistics: max %s %s for (%s) at %s", peakNames[kind], value, p.key, stamp(p.when)))
	}
	if was.cache > 0 {
		log.Info(fmt.Sprintf("statistics: max cache size %d at %s", was.cache, stamp(was.cached)))
	}
}

// stop logs what there is to log now.
func (c *Anvil) stop() {
	c.mu.Lock()
	if t := c.peaks.timer; t != nil {
		t.Stop()
	}
	c.mu.Unlock()
	c.logPeaks()
}

// String is service:address, with the length of the prefix when that is not all.
func (k clientKey) String() string {
	if k.net.IsSingleIP() {
		return k.service + ":" + k.net.Addr().String()
	}
	return k.service + ":" + k.net.String()
}

// stamp is a time as the log writes it.
func stamp(t time.Time) string { return t.Local().Format("Jan _2 15:04:05") }
