"""What is declared, for who joins it with the rest."""

from amqpd.broker.statistics import ExchangeStatistics
from amqpd.metrics.families.exchanges import exchange_name
from amqpd.metrics.tables import Table, gauge

VHOSTS: Table[str] = Table(
    labels=("vhost",),
    rows=lambda snapshot: snapshot.broker.vhosts,
    label_values=lambda vhost: (vhost,),
    families={"vhost_status": (gauge("vhost_status", "1: the virtual host is running", lambda _vhost: 1),)},
)

EXCHANGES: Table[ExchangeStatistics] = Table(
    labels=("vhost", "exchange", "type"),
    rows=lambda snapshot: snapshot.broker.exchanges,
    label_values=lambda exchange: (exchange.vhost, exchange_name(exchange), exchange.type),
    families={
        "exchange_bindings": (
            gauge("exchange_bindings", "Bindings from the exchange", lambda exchange: exchange.bindings),
        ),
        "exchange_names": (gauge("exchange_name", "1: the exchange is there", lambda _exchange: 1),),
    },
)
