#!/usr/bin/perl
# Centre and scale each column by what the training rows say.
use strict;
use warnings;

my ($train, $test) = ('work/train.csv', 'work/test.csv');
my (@sum, @square, $n);
open(my $in, '<', $train) or die "$train: $!";
while (<$in>) {
    chomp;
    my @x = split /,/;
    pop @x;
    $sum[$_] += $x[$_], $square[$_] += $x[$_]**2 for 0 .. $#x;
    $n++;
}
close $in;
my @mean = map { $_ / $n } @sum;
my @sd = map { sqrt($square[$_] / $n - $mean[$_]**2) || 1 } 0 .. $#sum;
for my $name ($train, $test) {
    (my $out = $name) =~ s/\.csv/.scaled.csv/;
    open(my $from, '<', $name) or die "$name: $!";
    open(my $to, '>', $out) or die "$out: $!";
    while (<$from>) {
        chomp;
        my @x = split /,/;
        my $y = pop @x;
        print $to join(',', (map { sprintf '%.6f', ($x[$_] - $mean[$_]) / $sd[$_] } 0 .. $#x), $y), "\n";
    }
    close $to;
}
