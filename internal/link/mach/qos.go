package mach

// QoS is a qos_class_t: how the scheduler treats a thread (sys/qos.h).
type QoS uint32

const (
	QoSBackground      QoS = 0x09
	QoSUtility         QoS = 0x11
	QoSDefault         QoS = 0x15
	QoSUserInitiated   QoS = 0x19
	QoSUserInteractive QoS = 0x21
)
