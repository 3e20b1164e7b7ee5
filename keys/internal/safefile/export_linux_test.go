package safefile

// MapsAll is the parser of /proc/self/uid_map and gid_map.
var MapsAll = mapsAll

// MountedBy is the parser of /proc/self/mountinfo.
var MountedBy = mountedBy
