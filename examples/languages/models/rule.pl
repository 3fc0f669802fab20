use strict;
use warnings;
use JSON::PP;

$| = 1;    # what is printed goes out at once
while (my $line = <STDIN>) {
    my $asked = decode_json($line);
    my ($bmi, $s5) = @{ $asked->{columns} }{qw(bmi s5)};
    my $answer = $bmi && $s5
        ? { columns => { progression => [ map { 152.94615870263704 + 669.6525964460959 * $bmi->[$_] + 609.7326831950464 * $s5->[$_] } 0 .. $#$bmi ] } }
        : { error => "bmi and s5 are needed" };
    print encode_json({ id => $asked->{id}, %$answer }), "\n";
}
