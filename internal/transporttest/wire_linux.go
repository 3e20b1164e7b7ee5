package transporttest

var wireTests []test
var processTests []test
