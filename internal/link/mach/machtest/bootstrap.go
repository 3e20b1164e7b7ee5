package machtest

import "github.com/sealport/sealport/internal/link/mach"

// service is a name in the bootstrap namespace. The name service holds a send
// right to its port, as launchd does.
type service struct {
	name     string
	port     *port
	declared bool // known from a property list: exists without a host
}

// Declare makes a name known as a launchd property list does: it can be looked
// up before anybody has checked in, and messages wait for the host.
func (k *Kernel) Declare(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.services[name] == nil {
		k.services[name] = &service{name: name, declared: true}
		k.services[name].renew(k)
	}
}

// Deny makes CheckIn and LookUp of the name fail as a sandbox does.
func (k *Kernel) Deny(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.denied[name] = true
}

// renew gives the service a port whose receive right is not checked out.
func (s *service) renew(k *Kernel) {
	s.port = newPort(k)
	s.port.service = s
	s.port.send = 1
}

// died is told when the service's port is destroyed.
func (s *service) died(k *Kernel) {
	if s.declared {
		s.renew(k)
		return
	}
	delete(k.services, s.name)
}

// CheckIn implements mach.Kernel.
func (t *Task) CheckIn(name string) (mach.Name, error) {
	err := t.begin(OpCheckIn)
	defer t.k.mu.Unlock()
	s := t.k.services[name]
	switch {
	case err != nil:
		return mach.Null, err
	case len(name) > mach.MaxServiceName:
		return mach.Null, mach.KernInvalidArgument
	case t.k.denied[name]:
		return mach.Null, mach.BootstrapNotPrivileged
	case s != nil && s.port.receiver == t:
		return mach.Null, mach.BootstrapServiceActive
	case s != nil && s.port.receiver != nil:
		// launchd's word for a name that is another's, be it free to look up.
		return mach.Null, mach.BootstrapNotPrivileged
	case s == nil:
		s = &service{name: name}
		t.k.services[name] = s
		s.renew(t.k)
	}
	return t.giveReceive(s.port), nil
}

// LookUp implements mach.Kernel.
func (t *Task) LookUp(name string) (mach.Name, error) {
	err := t.begin(OpLookUp)
	defer t.k.mu.Unlock()
	if err != nil {
		return mach.Null, err
	}
	if t.k.denied[name] {
		return mach.Null, mach.BootstrapNotPrivileged
	}
	s := t.k.services[name]
	if s == nil {
		return mach.Null, mach.BootstrapUnknownService
	}
	s.port.send++
	return t.giveSend(s.port), nil
}

// Undeclare takes back a Declare, as unloading the property list does.
func (k *Kernel) Undeclare(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.services[name]
	if s == nil {
		return
	}
	s.declared = false
	if s.port.receiver == nil {
		s.port.destroy(k)
	}
}
