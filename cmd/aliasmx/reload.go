package main

import (
	"errors"
	"fmt"

	"aliasmx/internal/mail"
	"aliasmx/smtpd"
)

// reload reads configuration and tables again and puts them in force as a whole, or
// leaves everything as it is and says why. Connections stay; a transaction that has
// begun ends under the tables it began with.
func (d *daemon) reload() error {
	d.manager.reloading()
	defer d.manager.ready()
	log := d.log.With(mail.KeyDaemon, "master")
	if err := d.tryReload(); err != nil {
		log.Error(fmt.Sprintf("reload: %v; the old configuration stays in force", err))
		return err
	}
	d.log.reopen()
	log.Info(fmt.Sprintf("reload -- version %s, configuration %s", version(), d.dir))
	return nil
}

func (d *daemon) tryReload() error {
	cfg, err := loadConfig(d.dir, d.env)
	if err != nil {
		return err
	}
	// Opening tables may take its time; nobody else is to wait for that.
	if !d.reloading.TryLock() {
		return errors.New("another reload is under way")
	}
	defer d.reloading.Unlock()
	d.mu.Lock()
	inForce := d.view.cfg
	d.mu.Unlock()
	for _, fixed := range []string{"queue_directory", "mail_owner", "maillog_file", "queue_node", "address_verify_map", "postscreen_cache_map", "smtp_tls_mta_sts_cache", "reputation_map", "greylist_map", "relay_while_connected_map"} {
		if cfg.Get(fixed) != inForce.Get(fixed) {
			return fmt.Errorf("%s (%s) has changed, which takes a restart", fixed, cfg.Where(fixed))
		}
	}
	v, err := newView(cfg, d.log.With(mail.KeyDaemon, "cleanup"), &d.keys)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		v.close()
		return errors.New("the daemon is about to end")
	}
	fresh, err := bind(v, d.ports)
	if err != nil {
		v.close()
		return err
	}
	policies, err := d.policies.bind(v)
	if err != nil {
		for _, p := range fresh {
			p.ln.Close()
		}
		v.close()
		return err
	}
	// From here on nothing can fail.
	d.book.Update(v.reputation)
	d.greylist.Update(v.greylist)
	wanted := v.wanted()
	for addr, p := range d.ports {
		if o, keep := wanted[addr]; keep {
			p.server.Update(d.withQueue(o))
			continue
		}
		delete(d.ports, addr)
		d.wg.Go(func() { d.retire(p.server) })
	}
	for addr, p := range fresh {
		p.server = smtpd.NewServer(d.withQueue(wanted[addr]))
		d.ports[addr] = p
		d.serve(p)
	}
	d.policies.put(v, policies, d.servePolicies)
	d.local.Update(d.withQueue(v.local))
	d.pickup.Update(d.pickupOptions(v))
	d.keys.sts.use(v, d.log.Logger)
	d.tlsrpt.follow(d, v)
	d.delivery.Update(v.delivery)
	d.sites.update(v.shaping)
	if err := d.carriers.update(v, d.queue); err != nil {
		log := d.log.With(mail.KeyDaemon, "master")
		log.Error(fmt.Sprintf("reload: local delivery: %v; it stays as it was", err))
	}
	d.queue.Update(v.queue)
	d.verify.Update(v.verify)
	d.clients.Update(screenCache(v.cfg))
	d.reports.current.Store(v.bounce)
	if d.old != nil {
		d.old.close()
	}
	d.old, d.view = d.view, v
	return nil
}
